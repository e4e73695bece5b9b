/**
 * The credential plugin: kubectl and client-go run `gatehouse get-token` before every command. Only the
 * way of a cached token is here, and it loads nothing else; everything that takes time is in
 * commands.ts.
 */
import { getTokenOptions, serverOf } from './exec/arguments.ts'
import { execCredential } from './exec/exec-credential.ts'
import { parseExecInfo } from './exec/exec-info.ts'
import { ClientFailure } from './failure.ts'
import { credentialOf, isFresh } from './session/freshness.ts'
import type { ClientHost } from './host.ts'
import { nodeHost } from './node-host.ts'
import { sessionDirectory } from './session/directory.ts'
import { readSession } from './session/read.ts'
import type { SessionId } from './session/session.ts'

/** Runs the plugin with the arguments behind `get-token`. */
export function runPlugin(node: NodeJS.Process): Promise<number> {
  return getToken(nodeHost(node, node.argv.slice(3)))
}

/** Runs the plugin. Standard output gets the ExecCredential and nothing else. Returns the exit code. */
export async function getToken(host: ClientHost): Promise<number> {
  try {
    const options = getTokenOptions(host.args)
    const text = host.env['KUBERNETES_EXEC_INFO']
    if (text === undefined) return await (await import('./commands.ts')).printToken(options, host)
    const info = parseExecInfo(text)
    const { account, method } = options
    const id: SessionId = { server: serverOf(options, info.cluster), account, method }
    const directory = sessionDirectory(host)
    const read = readSession(directory, id, async (sealed, context) =>
      (await import('./session/keyring.ts')).unseal(sealed, context),
    )
    const cached = read instanceof Promise ? await read : read
    const { certificate } = options
    const session =
      cached !== undefined && isFresh(cached, certificate)
        ? cached
        : await (await import('./commands.ts')).renewToken(id, info.interactive, options, host)
    const { credential, renewAt } = credentialOf(session, certificate)
    host.writeOut(execCredential(info.apiVersion, credential, renewAt))
    return 0
  } catch (error) {
    if (!(error instanceof ClientFailure)) throw error
    host.writeError(`gatehouse: ${error.message}\n`)
    return error.exitCode
  }
}
