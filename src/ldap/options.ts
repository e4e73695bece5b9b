/** How the servers of a directory are reached. */
export interface ServerOptions {
  /** `ldaps://host[:port]`, or `ldap://host[:port]` with `startTLS`; asked in this order. */
  readonly servers: readonly string[]
  readonly startTLS: boolean
  /** Milliseconds for connecting, and for each operation. */
  readonly timeout: number
  /** The service account that searches. */
  readonly bindDN: string
}

/** How a directory is reached and searched; `authentication.issuedCertificates.directories` without its policy. */
export interface DirectoryOptions extends ServerOptions {
  readonly users: {
    readonly baseDN: string
    /** With `{username}`, which is replaced by what the user has typed, escaped. */
    readonly filter: string
    readonly usernameAttribute: string
    readonly uidAttribute?: string | undefined
  }
  readonly groups?:
    | {
        readonly baseDN: string
        /** The attribute of a group that names its members by DN. */
        readonly memberAttribute: string
        readonly nameAttribute: string
        readonly nested: 'none' | 'activeDirectory' | 'walk'
      }
    | undefined
}

/** What is read from files. */
export interface DirectorySecrets {
  /** The CAs that the servers' certificates are verified with, PEM; undefined: those that Node trusts. */
  readonly ca: string | undefined
  /** The password of the service account. */
  readonly bindPassword: string
}

/** A user of a directory, before prefixes. */
export interface DirectoryUser {
  readonly dn: string
  readonly username: string
  /** Empty without `uidAttribute`. */
  readonly uid: string
  readonly groups: readonly string[]
}
