export * from './database';
export * from './messaging';
export * from './secrets';
export * from './service';
