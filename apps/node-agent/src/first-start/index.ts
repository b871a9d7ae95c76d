/** First start: makes what is missing for Alto's own processes to run, and says which these are. */
export { makeFirstStart, type FirstStart, type ReportProgress } from './first-start';
export { firstStartSettings, parseFirstStartSettings, type FirstStartSettings } from './settings';
