/** Checks of a specification that its schema cannot express; each names the field at fault. */
import { AltoError, type AppSpec, httpPort, portVariable } from '@alto/contracts';

/** A specification travels to agents with every instance, and with every event of the app. */
export const specBytesMax = 65_536;

/** @throws AltoError invalid_request */
export function checkSpecification(spec: AppSpec): void {
  const field = fieldWithNul(spec);
  if (field !== null) {
    throw new AltoError('invalid_request', {
      message: `${field}: must not hold a NUL character, which no program could be given`,
      field,
    });
  }
  const twice = spec.secrets.find((name) => Object.hasOwn(spec.env, name));
  if (twice !== undefined) {
    throw new AltoError('invalid_request', {
      message: `secrets: ${twice} is a variable of env already`,
      field: 'secrets',
      nextStep: `Take ${twice} out of env, or out of secrets.`,
    });
  }
  checkPorts(spec);
  const sizes = { command: jsonBytes(spec.command), env: jsonBytes(spec.env) };
  if (sizes.command + sizes.env <= specBytesMax) return;
  const largest = sizes.env >= sizes.command ? 'env' : 'command';
  throw new AltoError('invalid_request', {
    message: `${largest}: command and env together must be ${specBytesMax} bytes at most as JSON, and are ${sizes.command + sizes.env}`,
    field: largest,
    nextStep: 'Put larger content into files of the bundle.',
  });
}

function checkPorts({ ports, env, secrets, readiness, liveness }: AppSpec): void {
  const refuse = (field: string, message: string, nextStep: string) => {
    throw new AltoError('invalid_request', { message: `${field}: ${message}`, field, nextStep });
  };
  for (const name of ports) {
    const variable = portVariable(name);
    const field = Object.hasOwn(env, variable) ? 'env' : secrets.includes(variable) ? 'secrets' : undefined;
    if (field !== undefined)
      refuse(field, `${variable} is set by Alto, for the port ${name}`, 'Give the variable or the port another name.');
  }
  if (ports.includes(httpPort)) return;
  const next = `Add \`${httpPort}\` to ports, or leave out what asks at it.`;
  if (liveness !== null) refuse('liveness', `the app has no port ${httpPort} to be asked at`, next);
  if (readiness.path !== '/') refuse('readiness.path', `the app has no port ${httpPort} to be asked at`, next);
}

function fieldWithNul({ command, env }: AppSpec): string | null {
  const word = command.findIndex((text) => text.includes('\0'));
  if (word !== -1) return `command.${word}`;
  const variable = Object.entries(env).find(([, text]) => text.includes('\0'));
  return variable === undefined ? null : `env.${variable[0]}`;
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
