export { MasterKeys, MasterKeysError } from './master-keys';
export { openSecret, sealSecret, type SecretPlace } from './project-secret';
export { keyIdOf, SealingError } from './sealing';
export * from './master-key-file';
