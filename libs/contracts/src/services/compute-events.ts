/** What compute tells of apps, instances and nodes. */
import { z } from 'zod';
import { event } from '../event';
import { appSchema, instanceSchema, nodeSchema } from './app-resources';

const appEventData = z.object({ app: appSchema });

export const computeEvents = {
  appCreated: event({
    service: 'compute',
    noun: 'apps',
    verb: 'created',
    version: 1,
    summary: 'An app was created',
    data: appEventData,
  }),
  appUpdated: event({
    service: 'compute',
    noun: 'apps',
    verb: 'updated',
    version: 1,
    summary: "An app's specification was changed",
    data: appEventData,
  }),
  appReady: event({
    service: 'compute',
    noun: 'apps',
    verb: 'ready',
    version: 1,
    summary: 'Every replica of an app is ready',
    data: appEventData,
  }),
  appDegraded: event({
    service: 'compute',
    noun: 'apps',
    verb: 'degraded',
    version: 1,
    summary: 'An app has fewer ready replicas than it should and makes no progress',
    data: appEventData,
  }),
  appRolledBack: event({
    service: 'compute',
    noun: 'apps',
    verb: 'rolledback',
    version: 1,
    summary: 'A rollout has failed and every replica is of the revision before',
    data: appEventData,
  }),
  appDeleted: event({
    service: 'compute',
    noun: 'apps',
    verb: 'deleted',
    version: 1,
    summary: 'An app and all its instances are gone',
    data: appEventData,
  }),
  instanceChanged: event({
    service: 'compute',
    noun: 'instances',
    verb: 'changed',
    version: 1,
    summary: 'An instance has entered another state',
    data: z.object({ instance: instanceSchema }),
  }),
  nodeReady: event({
    service: 'compute',
    noun: 'nodes',
    verb: 'ready',
    version: 1,
    summary: 'A machine has joined or is back',
    data: z.object({ node: nodeSchema }),
  }),
  nodeLost: event({
    service: 'compute',
    noun: 'nodes',
    verb: 'lost',
    version: 1,
    summary: 'A machine has not been heard of and its instances are replaced',
    data: z.object({ node: nodeSchema }),
  }),
  nodeDeleted: event({
    service: 'compute',
    noun: 'nodes',
    verb: 'deleted',
    version: 1,
    summary: 'A machine that was lost has been deleted, and what ran there given up',
    data: z.object({ node: nodeSchema }),
  }),
};
