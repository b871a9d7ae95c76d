/** Several machines: one makes a token, another joins with it. */
export { joinedStart, joins } from './joined-start';
export { type NodeToken, NodeTokens } from './node-tokens';
