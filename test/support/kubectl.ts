import type { ControlPlane } from '../../dev/parts/control-plane.ts'
import { command, type CommandResult } from './command.ts'

/** What a call of kubectl may need beside its arguments. */
export interface KubectlOptions {
  input?: string
  env?: Record<string, string>
}

/** A real kubectl with one user's kubeconfig, and nothing of the environment of who runs the tests. */
export type Kubectl = (args: readonly string[], options?: KubectlOptions) => Promise<CommandResult>

/** Streaming as kubectl did it before WebSockets, and as it falls back to. */
export const overSPDY = {
  KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false',
  KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false',
}

/** Makes a {@link Kubectl} of a control plane, by default as its administrator. */
export function createKubectl(
  controlPlane: ControlPlane,
  kubeconfig: string = controlPlane.adminKubeconfig,
): Kubectl {
  return (args, { input = '', env = {} } = {}) =>
    command(controlPlane.kubectl, args, {
      input,
      cwd: controlPlane.directory,
      env: {
        PATH: process.env['PATH'],
        // Its cache of discovery goes with the control plane.
        HOME: controlPlane.directory,
        KUBECONFIG: kubeconfig,
        ...env,
      },
    })
}
