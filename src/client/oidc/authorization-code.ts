import * as openid from 'openid-client'

import { openBrowser } from '../browser.ts'
import { ClientFailure } from '../failure.ts'
import type { Session } from '../session/session.ts'
import type { Terminal } from '../terminal.ts'
import { issuerFailure } from './issuer-failure.ts'
import { scopesFor } from './issuer.ts'
import { isSame, listenForRedirect, wrongState, type Loopback } from './loopback.ts'
import { SIGN_IN_TIMEOUT_MS, type SignInRequest } from './sign-in-request.ts'
import { newBoundKey, sessionFrom } from './tokens.ts'

/**
 * Signs in with the user's browser: authorization code with PKCE (RFC 7636), a redirect to loopback, or,
 * where the browser is on another machine, the address of the page that it cannot open, pasted by the
 * user.
 *
 * @throws ClientFailure
 */
export async function signInWithCode(
  configuration: openid.Configuration,
  { method, account, terminal, browser, maxAge, certificate }: SignInRequest,
): Promise<Session> {
  const [state, nonce, pkceCodeVerifier] = [
    openid.randomState(),
    openid.randomNonce(),
    openid.randomPKCECodeVerifier(),
  ]
  const key = certificate === undefined ? await newBoundKey(configuration) : undefined
  const scopes = scopesFor(configuration, method)
  const loopback = await listenForRedirect({ redirectURIs: method.redirectURIs, state })
  try {
    const url = openid.buildAuthorizationUrl(configuration, {
      ...method.extraParameters,
      // Somebody with several accounts must not get the one that the issuer remembers.
      ...(account === '' ? {} : accountParameters(account, method.extraParameters['prompt'])),
      // An issuer that is asked for it says in the token when the user has signed in (OpenID Connect Core
      // section 2, auth_time).
      ...(maxAge === undefined ? {} : { max_age: String(maxAge) }),
      ...(key === undefined ? {} : { dpop_jkt: await key.handle.calculateThumbprint() }),
      redirect_uri: loopback.redirectURI,
      scope: scopes.join(' '),
      state,
      nonce,
      code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    })
    requireHttps(method.issuer, url)
    keepExactly(configuration, loopback.redirectURI)
    const isOpen = browser !== undefined && (await openBrowser(browser, url))
    const current = await redirectFrom({ url, isOpen, loopback, state, terminal })
    const response = await openid.authorizationCodeGrant(
      configuration,
      current,
      { pkceCodeVerifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true },
      undefined,
      key === undefined ? {} : { DPoP: key.handle },
    )
    return sessionFrom(response, {
      ...{ issuer: { ...method, certificate }, scopes, key, now: Date.now() },
    })
  } catch (error) {
    throw issuerFailure(method.issuer, error)
  } finally {
    loopback.close()
  }
}

function accountParameters(account: string, prompt = ''): Readonly<Record<string, string>> {
  const prompts = new Set(['login', ...prompt.split(' ').filter((each) => each !== '')])
  return { login_hint: account, prompt: [...prompts].join(' ') }
}

interface Waiting {
  readonly url: URL
  /** Whether a browser of this machine shows the URL. */
  readonly isOpen: boolean
  readonly loopback: Loopback
  readonly state: string
  readonly terminal: Terminal
}

/** The address to which the issuer sent the browser, from the browser or from the user. */
async function redirectFrom({ url, isOpen, loopback, state, terminal }: Waiting): Promise<URL> {
  if (isOpen) {
    terminal.print(`Sign in with your browser. If no window opens, go to:\n\n  ${url.href}\n`)
  } else {
    terminal.print(`Open this address in a browser, and sign in:\n\n  ${url.href}\n`)
  }
  const end = new AbortController()
  const timeout = AbortSignal.timeout(SIGN_IN_TIMEOUT_MS)
  const signal = AbortSignal.any([end.signal, timeout])
  try {
    const ways = [loopback.redirected, timeoutOf(timeout)]
    if (!isOpen && !terminal.isInteractive) {
      terminal.print(
        'Waiting 5 minutes for a browser on this machine. If it is on another one, run the command in ' +
          'a terminal, where you can paste the address of the last page.',
      )
    }
    if (terminal.isInteractive) {
      if (!isOpen) {
        terminal.print(
          'If the browser is on another machine, it ends at a page that it cannot open. Copy the ' +
            'address of that page, which begins with\n' +
            `${loopback.redirectURI}, and paste it here.`,
        )
      }
      ways.push(pastedRedirect({ loopback, state, terminal }, signal))
    }
    return await Promise.race(ways)
  } finally {
    end.abort()
  }
}

function timeoutOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () =>
      reject(
        new ClientFailure(
          'signInFailed',
          'the browser did not come back within 5 minutes: the window was closed, or nobody signed in; try again',
        ),
      ),
    )
  })
}

/** Asks until the user pastes an address that can be the redirect. */
async function pastedRedirect(
  { loopback, state, terminal }: Pick<Waiting, 'loopback' | 'state' | 'terminal'>,
  signal: AbortSignal,
): Promise<URL> {
  for (;;) {
    let pasted: string
    try {
      pasted = (await terminal.ask('', signal)).trim()
    } catch (error) {
      // The browser came back in the meantime.
      if (signal.aborted) return await new Promise<never>(() => undefined)
      throw error
    }
    if (pasted === '') continue
    const query = URL.canParse(pasted) ? new URL(pasted).search : ''
    const parameters = new URLSearchParams(query)
    if (!parameters.has('code') && !parameters.has('error')) {
      terminal.print(`This is not such an address. It begins with ${loopback.redirectURI}`)
      continue
    }
    if (!isSame(parameters.get('state') ?? '', state)) throw wrongState()
    return new URL(`${loopback.redirectURI}${query}`)
  }
}

/**
 * Sends the redirect URI to the token endpoint as it was in the authorization request. openid-client adds
 * a slash to one without a path, and issuers compare them character by character.
 */
function keepExactly(configuration: openid.Configuration, redirectURI: string): void {
  const fetch = configuration[openid.customFetch]
  if (fetch === undefined) return
  configuration[openid.customFetch] = (url, options) => {
    const { body } = options
    if (body instanceof URLSearchParams && body.get('redirect_uri') === `${redirectURI}/`) {
      body.set('redirect_uri', redirectURI)
    }
    return fetch(url, options)
  }
}

/** It is opened in a browser, and the desktop would start a program for many other schemes. */
function requireHttps(issuer: string, { protocol }: URL): void {
  if (protocol === 'https:') return
  throw new ClientFailure('untrusted', `the sign-in page of ${issuer} is not an https URL`)
}
