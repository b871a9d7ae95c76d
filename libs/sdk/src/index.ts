export { AltoClient, type AltoClientOptions, type CallOptions, type Download, type UploadBody } from './client';
export { followEvents, type FollowOptions, type ReceivedEvent } from './events';
export { AltoError } from '@alto/contracts';
