/** Exit codes of the commands for users; docs/users.md lists them. They are API. */
export const EXIT = {
  ok: 0,
  /** Anything that has no code of its own. */
  failure: 1,
  /** The command line or a file of the user is not valid, or Node.js is too old. */
  usage: 2,
  /** There is no valid sign-in, and nobody can be asked for one. */
  signInRequired: 3,
  /** The sign-in did not succeed: refused, canceled or not finished in time. */
  signInFailed: 4,
  /** Gatehouse or the issuer cannot be reached, or its response is not usable. */
  unavailable: 5,
  /** Refused for the user's safety: an untrusted CA, another server, a wrong state. */
  untrusted: 6,
  /** A file cannot be read or written. */
  file: 7,
  /** Gatehouse does not accept the credential. */
  rejected: 8,
  /** Ctrl-C, as in shells. */
  interrupted: 130,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]
