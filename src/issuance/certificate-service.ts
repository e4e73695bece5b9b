import type { CertificateIssuer } from './certificate-issuer.ts'
import type { DirectorySignIn } from './directory-sign-in.ts'

/** What handlers need to issue certificates. */
export interface CertificateService {
  readonly issuer: CertificateIssuer
  /** By name. Empty: nobody signs in with a password. */
  readonly directories: ReadonlyMap<string, DirectorySignIn>
}
