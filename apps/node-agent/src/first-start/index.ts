/** First start: makes what is missing for Alto's own processes to run, and says which these are. */
export { makeFirstStart, type FirstStart, type ReportProgress } from './first-start';
export { accountKeyFile, makeCredentials } from './nats-identity';
export { Releases, type ReleaseChoice, type ServiceVersions } from './releases';
export { pointLink, writeIfChanged } from './files';
export { ensureNode } from './runtime';
export { firstStartSettings, parseFirstStartSettings, type FirstStartSettings } from './settings';
