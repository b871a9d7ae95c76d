/** For machines where Alto's own processes are started by somebody else, such as Docker. */
export { runBootstrap } from './bootstrap';
export { externalStart } from './external-start';
