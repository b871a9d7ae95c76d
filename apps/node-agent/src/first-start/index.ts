/** First start: makes what is missing for Alto's own processes to run, and says which these are. */
export { makeFirstStart, type FirstStart, type ReportProgress } from './first-start';
export { Releases, type ReleaseChoice, type ServiceVersions } from './releases';
export { firstStartSettings, parseFirstStartSettings, type FirstStartSettings } from './settings';
