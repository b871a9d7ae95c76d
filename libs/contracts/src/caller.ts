/** Who is calling: what the gateway's short-lived token says and each service checks. */
import { z } from 'zod';
import { roles } from './permissions';

export const callerSchema = z.object({
  /** Id of the API key. */
  id: z.string(),
  role: z.enum(roles),
  /** Project that the request is about, null where it is about the cluster. The gateway has checked the key may enter it. */
  project: z.string().nullable(),
  projectName: z.string().nullable(),
});
export type Caller = z.infer<typeof callerSchema>;

/** Headers on NATS messages and on streamed HTTP requests between services. */
export const callHeaders = {
  requestId: 'Alto-Request-Id',
  trace: 'traceparent',
  /** Milliseconds that are left, relative so that clocks need not agree. */
  budget: 'Alto-Budget-Ms',
  caller: 'Alto-Caller',
  error: 'Alto-Error',
} as const;
