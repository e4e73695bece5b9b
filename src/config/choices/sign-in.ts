/** Checks of `signIn` that concern more than one field. */
import { isIP } from 'node:net'

import { valueAt, type Path } from '../path.ts'
import { addRepeated, has, type AddProblem } from './add-problem.ts'

/** Checks `signIn` and its pages. */
export function checkSignIn(raw: object, add: AddProblem): void {
  checkMethods(raw, add)
  checkPages(raw, add)
}

/** Without an issuer there is nobody whom a method could ask; two methods of one name hide each other. */
function checkMethods(raw: object, add: AddProblem): void {
  const methods = valueAt(raw, ['signIn', 'methods'])
  if (!Array.isArray(methods) || methods.length === 0) return
  if (!has(raw, 'authentication', 'configFile')) {
    const message = 'has no effect without authentication.configFile'
    add(['signIn', 'methods'], message, 'set authentication.configFile, or remove the methods')
  }
  checkBoundTokens(raw, methods, add)
  addRepeated(raw, ['signIn', 'methods'], 'name', (field, name) =>
    add(field, `${name} is listed twice`, 'give each method a name of its own'),
  )
}

/** A certificate that is not accepted here makes the token that is bound to it useless. */
function checkBoundTokens(raw: object, methods: readonly unknown[], add: AddProblem): void {
  methods.forEach((_, i) => {
    const kind = valueAt(methods, [i, 'boundTokens'])
    const field: Path = ['signIn', 'methods', i, 'boundTokens']
    if (kind === 'selfSigned' && !acceptsSelfSigned(raw)) {
      const fix = 'set authentication.boundTokens.selfSignedCertificates: accept'
      add(field, 'is selfSigned, but self-signed certificates are refused', fix)
    }
    if (kind === 'clientCertificate' && !has(raw, 'authentication', 'x509')) {
      const message = 'is clientCertificate, but no certificate of a user is accepted'
      add(field, message, 'set authentication.x509')
    }
  })
}

function acceptsSelfSigned(raw: object): boolean {
  return valueAt(raw, ['authentication', 'boundTokens', 'selfSignedCertificates']) === 'accept'
}

function checkPages(raw: object, add: AddProblem): void {
  const field: Path = ['signIn', 'pages']
  const pages = valueAt(raw, field)
  if (typeof pages !== 'object' || pages === null) return
  if (!has(raw, 'authentication', 'configFile')) {
    const message = 'has no effect without authentication.configFile'
    add(field, message, 'set authentication.configFile, or remove the pages')
  }
  const [secret, key] = [has(pages, 'clientSecretFile'), has(pages, 'privateKeyFile')]
  if (secret === key) {
    const message = key
      ? 'has two credentials for the issuer: clientSecretFile and privateKeyFile'
      : 'has no credential for the issuer'
    add(field, message, 'set one of clientSecretFile, privateKeyFile')
  }
  if (has(pages, 'privateKeyID') && !key) {
    add([...field, 'privateKeyID'], 'has no effect without privateKeyFile', 'remove it')
  }
  const reason = reasonToRequestCertificates(raw)
  if (reason !== undefined) checkPagesName(pages, reason, add)
}

/** The field because of which the listener requests client certificates; undefined: it does not. */
function reasonToRequestCertificates(raw: object): string | undefined {
  const field = ['x509', 'issuedCertificates'].find((name) => has(raw, 'authentication', name))
  if (field !== undefined) return `authentication.${field}`
  return acceptsSelfSigned(raw) ? 'authentication.boundTokens.selfSignedCertificates' : undefined
}

/** A browser that is asked for a client certificate asks its user, before it shows anything. */
function checkPagesName(pages: object, reason: string, add: AddProblem): void {
  const at = (name: string): Path => ['signIn', 'pages', name]
  const [host, apiHost] = ['url', 'apiURL'].map((name) => {
    const url = valueAt(pages, [name])
    return typeof url === 'string' ? URL.parse(url)?.hostname : undefined
  })
  if (host === undefined) return
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0) {
    add(
      at('url'),
      `${JSON.stringify(host)} is an address, and with ${reason} browsers would be asked for a client certificate`,
      'give the pages a DNS name of their own',
    )
  } else if (apiHost === undefined || apiHost === host) {
    add(
      at(apiHost === undefined ? 'apiURL' : 'url'),
      apiHost === undefined
        ? `is required with ${reason}: no certificate is requested for the name of the pages`
        : `has the host of apiURL, and with ${reason} browsers would be asked for a client certificate`,
      'give the pages a DNS name of their own, and name the other one in apiURL',
    )
  }
}
