import type { FirstStart } from '../first-start';

/** First start of an agent that runs apps alone: its place on the bus comes from its settings. */
export const externalStart: FirstStart = (directory, report) => {
  directory.create();
  report('services', "leaving Alto's own services to those who start them");
  return Promise.resolve({ workloads: [] });
};
