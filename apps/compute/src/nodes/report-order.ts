/** Reports of one agent may overtake each other on the way: an older one never undoes a newer one. */

export interface ReportNumber {
  /** Grows with each start of the agent. */
  readonly incarnation: number;
  /** Reports since then. */
  readonly sequence: number;
}

/**
 * @param silentMs how long the node has been silent. When a machine's clock was set back its agent seems to be an older
 *   one: once its former self has been silent for `trustAfterMs` its word is taken all the same.
 */
export function isNews(report: ReportNumber, last: ReportNumber, silentMs: number, trustAfterMs: number): boolean {
  if (report.incarnation !== last.incarnation) return report.incarnation > last.incarnation || silentMs >= trustAfterMs;
  return report.sequence >= last.sequence || silentMs >= trustAfterMs;
}
