/** The plugin when there is no cached token: renews it, or signs in. */
import { readFileSync } from 'node:fs'

import { browserCommand } from './browser.ts'
import type { GetTokenOptions } from './exec/arguments.ts'
import { ClientFailure } from './failure.ts'
import type { ClientHost } from './host.ts'
import { certificatesIn } from './net/certificates.ts'
import { obtainSession } from './obtain-session.ts'
import { sessionDirectory } from './session/directory.ts'
import { createKnownServers } from './session/known-servers.ts'
import type { Session, SessionId } from './session/session.ts'
import { CACHES, createSessionStore, type Cache } from './session/store.ts'
import { cannotRead } from './session/write-file.ts'
import { createTerminal } from './terminal.ts'

/**
 * A valid session for a client such as kubectl.
 *
 * @param interactive whether the client lets the plugin use standard input
 * @throws ClientFailure
 */
export async function renewToken(
  id: SessionId,
  interactive: boolean,
  { cache, device, browser, certificate, certificateFiles }: GetTokenOptions,
  host: ClientHost,
): Promise<Session> {
  const directory = sessionDirectory(host)
  return obtainSession(
    {
      id,
      maySignIn: interactive,
      force: false,
      acceptSharedClient: false,
      browser: browser ? browserCommand(host) : undefined,
      device,
      certificate,
      certificateFiles,
    },
    {
      store: createSessionStore({ directory, cache: cacheNamed(cache) }),
      knownServers: createKnownServers(directory),
      terminal: createTerminal(host, interactive),
    },
  )
}

/** Prints a token for other programs: `curl -H "Authorization: Bearer $(gatehouse get-token ...)"`. */
export async function printToken(options: GetTokenOptions, host: ClientHost): Promise<number> {
  const { server, caFile, account, method } = options
  if (options.certificate) {
    throw new ClientFailure('usage', 'get-token: --certificate is only for clients such as kubectl')
  }
  const certificateAuthority = caFile === '' ? '' : readCA(caFile)
  const id: SessionId = { server: { origin: server, certificateAuthority }, account, method }
  const { secrets } = await renewToken(id, true, options, host)
  if (secrets.boundTo !== undefined) {
    throw new ClientFailure(
      'usage',
      'get-token: the token is bound to a certificate, so it is only for clients such as kubectl',
    )
  }
  host.writeOut(`${secrets.token}\n`)
  return 0
}

/**
 * The certificates of a PEM file and nothing else of it, since they are written into a kubeconfig.
 *
 * @throws ClientFailure when it cannot be read, or holds no certificate
 */
export function readCA(file: string): string {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw cannotRead(file, error)
  }
  const certificates = certificatesIn(text)
  if (certificates.length === 0) {
    throw new ClientFailure('usage', `${file} contains no certificate in PEM`)
  }
  return certificates.map((pem) => `${pem}\n`).join('')
}

/** @throws ClientFailure for another name */
export function cacheNamed(name: string): Cache {
  if (name === '') return 'auto'
  const cache = CACHES.find((each) => each === name)
  if (cache !== undefined) return cache
  throw new ClientFailure('usage', `--cache must be one of: ${CACHES.join(', ')}`)
}
