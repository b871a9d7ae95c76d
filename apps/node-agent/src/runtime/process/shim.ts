/**
 * The shim: a POSIX shell script that stays beside each process the agent starts, so that the process outlives the
 * agent and its exit code is kept. A Node process in its place would cost 13 to 46 MB each.
 *
 * The protocol on disk is described in apps/node-agent/README.md. Its version is part of every run folder:
 * an agent must understand the folders that the agent before it left behind.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { chmod, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { noteMark } from './log-files';

export const SHIM_PROTOCOL = 1;

/**
 * `supervise` waits for one line on its input before it does anything: an agent that dies before it has
 * recorded the shim closes the pipe, and nothing was started.
 *
 * Signals get a handler and are not ignored: ignored signals would stay ignored in the command.
 *
 * `claimed` decides between a process that is slow to start and an agent that has given it up: only one of them
 * can make the file.
 *
 * `supervise-input` leaves what follows the line to the command, as input.
 *
 * `keep` is for commands that are given listening sockets. The shim has these open as well, so that connections wait
 * when a signal ends the command, and starts it again at once, unless the shim was told to end by SIGTERM or the
 * command had not lived for so many seconds: then the run ends, its sockets are closed, and when to try again is the
 * agent's to say.
 *
 * It forks for the command alone. A program it called would be a process of the run, and killed with it; so files
 * are not renamed into place, but count from the moment they end with a newline, which one write brings.
 */
const shimScript = `#!/bin/sh
# Alto shim, protocol ${SHIM_PROTOCOL}. Usage: shim supervise RUN_FOLDER COMMAND [ARGUMENT...]
#                                   shim keep RUN_FOLDER SECONDS COMMAND [ARGUMENT...]
action=$1 run=$2
shift 2

identity() {
  if { read -r stat <"/proc/$$/stat"; } 2>/dev/null; then
    read -r boot </proc/sys/kernel/random/boot_id
    set -- \${stat##*) }
    echo "$$ \${20} $boot"
  else
    set -- $(LC_ALL=C command -p ps -o lstart= -p $$)
    echo "$$ $1_$2_$3_$4_$5 -"
  fi
}

keep() {
  seconds=$1 life=become revivals=0
  shift
  while
    since=$(command -p date +%s)
    /bin/sh "$0" "$life" "$run" "$@" </dev/null
    ended=$?
    [ "$ended" -gt 128 ] && [ -z "$told" ] && [ $(($(command -p date +%s) - since)) -ge "$seconds" ]
  do
    life=revive revivals=$((revivals + 1))
    echo "$revivals" >"$run/revivals"
    echo "${noteMark}$(command -p date -u +%Y-%m-%dT%H:%M:%SZ) Ended with code $ended; started again at once"
  done
  return "$ended"
}

case $action in
supervise | supervise-input | keep)
  told=
  trap : HUP INT QUIT USR1 USR2
  trap told=yes TERM
  identity >"$run/shim" || exit 125
  IFS= read -r go || exit 0
  case $action in
  supervise) /bin/sh "$0" become "$run" "$@" </dev/null ;;
  supervise-input) /bin/sh "$0" become "$run" "$@" ;;
  keep) keep "$@" ;;
  esac
  code=$?
  echo "$code" >"$run/exit"
  ;;
become)
  identity >"$run/pid" || exit 125
  set -C
  echo "$$" >"$run/claimed" || exit 125
  exec "$@"
  ;;
revive)
  identity >"$run/pid" || exit 125
  exec "$@"
  ;;
esac
`;

/**
 * Becomes bubblewrap with what that reads and writes through descriptors: 3 takes what it says of the sandbox, 4 has
 * the filter of system calls, 5 the options that came by the input.
 */
const enterScript = `#!/bin/sh
# Alto sandbox. Usage: enter INFO_FILE FILTER_FILE LAUNCHER [ARGUMENT...]
info=$1 filter=$2
shift 2
exec 3>"$info" 4<"$filter" 5<&0 </dev/null
exec "$@"
`;

/**
 * Keeps every log within its bound, for all workloads at once, also while no agent runs. A workload appends straight
 * to its log, so nothing ever waits for a reader. Where the file system can, the oldest part is
 * given back as a hole: not a byte that is kept moves, no line is lost, offsets stay true.
 * Elsewhere the file is copied and cut, which can lose lines written in between.
 */
const logGuardScript = `#!/bin/sh
# Alto log guard. Usage: log-guard WORKLOADS_FOLDER BYTES_MAX SECONDS
folder=$1 max=$2 seconds=$3

bound() {
  size=$(command -p wc -c <"$1") || return
  cut=$(((size - max / 2) / 4096 * 4096))
  command -p fallocate --punch-hole --offset 0 --length "$cut" "$1" 2>/dev/null && return
  command -p tail -c "$((max / 2))" "$1" >"$1.old" && : >"$1"
}

while [ -d "$folder" ]; do
  command -p find "$folder" -name log -size +"$max"c 2>/dev/null | while IFS= read -r log; do bound "$log"; done
  command -p sleep "$seconds"
done
`;

/** Where they lie. */
export interface Scripts {
  shim: string;
  enter: string;
  logGuard: string;
}

/** Puts the scripts under `folder`. Their names carry a hash: a shell reads its script while it runs it. */
export async function installScripts(folder: string): Promise<Scripts> {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return {
    shim: await installScript(folder, `shim-${SHIM_PROTOCOL}`, shimScript),
    enter: await installScript(folder, 'enter', enterScript),
    logGuard: await installScript(folder, 'log-guard', logGuardScript),
  };
}

/** @returns where the script lies. */
export async function installScript(folder: string, name: string, script: string): Promise<string> {
  const hash = createHash('sha256').update(script).digest('hex').slice(0, 12);
  const path = join(folder, `${name}-${hash}.sh`);
  if (existsSync(path)) return path;
  const partial = `${path}.${process.pid}`;
  await writeFile(partial, script);
  await chmod(partial, 0o755);
  await rename(partial, path);
  return path;
}
