export * from './bootstrap';
export * from './config';
export * from './health';
export * from './http-host';
export * from './lifecycle';
export * from './log';
export * from './metrics';
export * from './problem.filter';
