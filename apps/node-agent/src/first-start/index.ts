import type { DataDirectory } from '../data-directory';
import type { StaticManifest } from '../workloads/workload';

/** Tells what first start is doing, in words for people, e.g. `('keys', 'making the master key')`. */
export type ReportProgress = (step: string, message: string) => void;

/**
 * Makes what is missing for Alto's own processes to start, and says which these are.
 * Every step is idempotent: run again after a kill at any point, it resumes, and for an
 * unchanged installation the manifest is the same to the byte.
 */
export type FirstStart = (directory: DataDirectory, report: ReportProgress) => Promise<StaticManifest>;
