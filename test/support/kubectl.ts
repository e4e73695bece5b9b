import type { ControlPlane } from '../../dev/parts/control-plane.ts'
import { command, type CommandResult } from './command.ts'

/** Optional input of a kubectl command. */
export interface KubectlOptions {
  input?: string
  env?: Record<string, string>
}

/** Runs a real kubectl with one user's kubeconfig, and without the environment of the test run. */
export type Kubectl = (args: readonly string[], options?: KubectlOptions) => Promise<CommandResult>

/** Makes kubectl stream over SPDY, as it did before WebSockets and does as a fallback. */
export const overSPDY = {
  KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false',
  KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false',
}

/** Creates a {@link Kubectl} for a control plane, by default as its administrator. */
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
        // The discovery cache is removed together with the control plane.
        HOME: controlPlane.directory,
        KUBECONFIG: kubeconfig,
        ...env,
      },
    })
}

/** Runs a kubectl that must succeed; throws with its error output otherwise. */
export async function succeed(
  kubectl: Kubectl,
  args: readonly string[],
  options?: KubectlOptions,
): Promise<void> {
  const { code, stderr } = await kubectl(args, options)
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`)
}
