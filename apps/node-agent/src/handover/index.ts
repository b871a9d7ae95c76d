/** Another release of the agent itself. */
export { AgentHandover, type Handover } from './agent-handover';
export { MachineServices } from './machine-services';
