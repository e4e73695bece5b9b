/** The port of sources of groups that are not in a token, and what they reach out with. */

export interface GroupSource {
  /**
   * Returns the names of all groups of a user, without prefix.
   *
   * @param user by what the source knows the user, from a verified token
   * @param signal aborts at `deadline`
   * @throws UnknownUserError if the source says that it does not have the user; any other Error if it
   * cannot say
   */
  groupsOf(user: string, limits: LookupLimits): Promise<readonly string[]>
  /**
   * Tries whether the source can be asked, without a user: that it is reached, and accepts Gatehouse's
   * credential. Undefined for a source that has everything in memory.
   */
  check?(limits: LookupLimits): Promise<void>
}

export interface LookupLimits {
  readonly signal: AbortSignal
  /** Milliseconds since the epoch. */
  readonly deadline: number
}

/** The source does not have the user, who was removed there. */
export class UnknownUserError extends Error {}

/** The source asks to be left alone. */
export class ThrottledError extends Error {
  /** Milliseconds. */
  readonly retryAfter: number

  constructor(message: string, retryAfter: number) {
    super(message)
    this.retryAfter = retryAfter
  }
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Undefined if the body is not JSON. */
  readonly json: unknown
}

/** Resolves when the source responds about a user, whether it has them or not. */
export async function respondsAbout(
  user: string,
  groupsOf: GroupSource['groupsOf'],
  limits: LookupLimits,
): Promise<void> {
  await groupsOf(user, limits).catch((error: unknown) => {
    if (!(error instanceof UnknownUserError)) throw error
  })
}

/** Sends a request over https only; redirects are not followed. Rejects when `signal` aborts. */
export type SendHttp = (
  url: URL,
  request: HttpRequest,
  signal: AbortSignal,
) => Promise<HttpResponse>

/** More groups of one user are taken for a fault. */
export const MAX_SOURCE_GROUPS = 10_000
