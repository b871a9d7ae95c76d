/**
 * System calls that no app needs and that reach far into the kernel: refused with EPERM, as if the app lacked the
 * privilege. What is here is what it takes to leave a sandbox or to change the machine; all else is allowed.
 *
 * The filter is a classic BPF program over `struct seccomp_data` (linux/seccomp.h), as bubblewrap loads it.
 */

interface Architecture {
  /** AUDIT_ARCH_… of linux/audit.h */
  audit: number;
  /** Numbers in the order of `refusedCalls`; -1 where this machine has no such call. */
  numbers: readonly number[];
  clone: number;
  /** First number of another call table reached through the same door; calls from there on are refused. */
  foreignFrom?: number;
}

export const refusedCalls = [
  'ptrace',
  'syslog',
  'pivot_root',
  'chroot',
  'acct',
  'settimeofday',
  'mount',
  'umount2',
  'swapon',
  'swapoff',
  'reboot',
  'sethostname',
  'setdomainname',
  'init_module',
  'delete_module',
  'quotactl',
  'kexec_load',
  'add_key',
  'request_key',
  'keyctl',
  'unshare',
  'move_pages',
  'perf_event_open',
  'fanotify_init',
  'open_by_handle_at',
  'setns',
  'process_vm_readv',
  'process_vm_writev',
  'finit_module',
  'kexec_file_load',
  'bpf',
  'userfaultfd',
  'iopl',
  'ioperm',
  'clock_settime',
  'io_uring_setup',
  'open_tree',
  'move_mount',
  'fsopen',
  'fsmount',
  'mount_setattr',
] as const;

const newMountCalls = [425, 428, 429, 430, 432, 442];

const architectures: Readonly<Record<string, Architecture>> = {
  x64: {
    audit: 0xc000003e,
    numbers: [
      101,
      103,
      155,
      161,
      163,
      164,
      165,
      166,
      167,
      168,
      169,
      170,
      171,
      175,
      176,
      179,
      246,
      248,
      249,
      250,
      272,
      279,
      298,
      300,
      304,
      308,
      310,
      311,
      313,
      320,
      321,
      323,
      172,
      173,
      227,
      ...newMountCalls,
    ],
    clone: 56,
    foreignFrom: 0x40000000,
  },
  arm64: {
    audit: 0xc00000b7,
    numbers: [
      117,
      116,
      41,
      51,
      89,
      170,
      40,
      39,
      224,
      225,
      142,
      161,
      162,
      105,
      106,
      60,
      104,
      217,
      218,
      219,
      97,
      239,
      241,
      262,
      265,
      268,
      270,
      271,
      273,
      294,
      280,
      282,
      -1,
      -1,
      112,
      ...newMountCalls,
    ],
    clone: 220,
  },
};

const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER_OR_EQUAL = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

const ALLOW = 0x7fff0000;
const REFUSE = 0x00050001; // SECCOMP_RET_ERRNO | EPERM
/** SECCOMP_RET_ERRNO | ENOSYS: the C library then makes threads with `clone`, whose flags can be seen. */
const NOT_THERE = 0x00050026;
const CLONE3 = 435;
/** CLONE_NEWNS, …CGROUP, …UTS, …IPC, …USER, …PID and …NET. */
const NEW_NAMESPACE = 0x7e020000;

const NUMBER_AT = 0;
const ARCHITECTURE_AT = 4;
/** Lower half of the first argument: both machines are little-endian. */
const FIRST_ARGUMENT_AT = 16;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

/** @returns undefined for a machine whose system calls are not known here */
export function seccompFilter(arch: string = process.arch): Buffer | undefined {
  const architecture = architectures[arch];
  return architecture && assemble(program(architecture));
}

function program({ audit, numbers, clone, foreignFrom }: Architecture): Instruction[] {
  const refuseIf = (code: number, value: number, answer: number): Instruction[] => [
    [code, 0, 1, value],
    [RETURN, 0, 0, answer],
  ];
  return [
    [LOAD, 0, 0, ARCHITECTURE_AT],
    [JUMP_EQUAL, 1, 0, audit],
    [RETURN, 0, 0, REFUSE],
    [LOAD, 0, 0, NUMBER_AT],
    ...(foreignFrom === undefined ? [] : refuseIf(JUMP_GREATER_OR_EQUAL, foreignFrom, REFUSE)),
    ...refuseIf(JUMP_EQUAL, CLONE3, NOT_THERE),
    ...numbers.filter((number) => number >= 0).flatMap((number) => refuseIf(JUMP_EQUAL, number, REFUSE)),
    [JUMP_EQUAL, 0, 3, clone],
    [LOAD, 0, 0, FIRST_ARGUMENT_AT],
    ...refuseIf(JUMP_ANY_BIT, NEW_NAMESPACE, REFUSE),
    [RETURN, 0, 0, ALLOW],
  ];
}

/** `struct sock_filter`: u16 code, u8 jump if true, u8 jump if false, u32 value. */
function assemble(instructions: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(instructions.length * 8);
  instructions.forEach(([code, ifTrue, ifFalse, value], place) => {
    bytes.writeUInt16LE(code, place * 8);
    bytes.writeUInt8(ifTrue, place * 8 + 2);
    bytes.writeUInt8(ifFalse, place * 8 + 3);
    bytes.writeUInt32LE(value, place * 8 + 4);
  });
  return bytes;
}
