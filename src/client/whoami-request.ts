import {
  auditID,
  objectOf,
  reasonOf,
  refusedByGatehouse,
  sendToServer,
  text,
} from './api-request.ts'
import { ClientFailure, printable } from './failure.ts'
import type { Credential } from './exec/exec-credential.ts'
import type { Server } from './server.ts'

/** The user as Gatehouse sees it. */
export interface WhoAmI {
  readonly username: string
  readonly uid: string
  readonly groups: readonly string[]
  readonly method: string
  /** As in the response; empty when it is not known. */
  readonly expiresAt: string
}

const WHOAMI_PATH = '/gatehouse/api/whoami'
const REVIEW_PATH = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

/**
 * Asks Gatehouse who the user of a credential is.
 *
 * @throws ClientFailure with exit code 8 when Gatehouse does not accept it
 */
export async function requestWhoAmI(server: Server, credential: Credential): Promise<WhoAmI> {
  const response = await sendToServer(server, credential, { path: WHOAMI_PATH })
  const body = objectOf(response.body)
  if (response.status === 200 && body['kind'] === 'WhoAmI') {
    const { username, uid, groups } = objectOf(body['userInfo'])
    return {
      username: printable(text(username)),
      uid: printable(text(uid)),
      groups: (Array.isArray(groups) ? groups : []).map((group) => printable(text(group))),
      method: printable(text(body['method'])),
      expiresAt: printable(text(body['expiresAt'])),
    }
  }
  if (response.status === 401 || response.status === 403) throw refusedByGatehouse(server, response)
  throw new ClientFailure('unavailable', `${server.origin}: ${reasonOf(response)}`)
}

/** Where a request of the user is refused behind Gatehouse's sign-in; undefined when it is not. */
export async function requestReview(
  server: Server,
  credential: Credential,
): Promise<string | undefined> {
  const body = JSON.stringify({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'SelfSubjectReview',
  })
  const response = await sendToServer(server, credential, {
    path: REVIEW_PATH,
    method: 'POST',
    body,
  })
  if (response.status === 200 || response.status === 201) return undefined
  return `${reasonOf(response)} (Audit-ID ${auditID(response)})`
}
