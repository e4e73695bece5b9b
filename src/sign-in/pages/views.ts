/** The content of the pages. */
import { html, NOTHING, type Html } from './html.ts'
import { layout } from './layout.ts'
import {
  CERTIFICATE_PATH,
  KUBECONFIG_PATH,
  PAGES_PATH,
  SIGN_IN_PATH,
  SIGN_OUT_PATH,
} from './paths.ts'
import type { Session } from './session.ts'

export interface ViewOptions {
  readonly displayName: string
  readonly issuer: string
}

/** The start page of a browser without a session. */
export function signInView({ displayName, issuer }: ViewOptions): Html {
  return layout(
    { displayName, title: 'Sign in' },
    html`<h1>Sign in</h1>
      <p>Sign in to see your identity, and to get a kubeconfig for kubectl.</p>
      <p><a class="button" href="${SIGN_IN_PATH}">Sign in</a></p>
      <p class="hint">You sign in at <span class="address">${issuer}</span></p>`,
  )
}

export interface AccountOptions extends ViewOptions {
  readonly session: Session
  readonly clusters: readonly { readonly name: string; readonly url: string }[]
  /** What a user pastes into a terminal. */
  readonly command: string
  /** Whether a client certificate can be had here. */
  readonly hasCertificates: boolean
}

/** The start page of a user who has signed in. */
export function accountView({
  displayName,
  issuer,
  session,
  clusters,
  command,
  hasCertificates,
}: AccountOptions): Html {
  return layout(
    { displayName, title: 'Your sign-in' },
    html`<h1>You are <span class="name">${session.username}</span></h1>
      <section aria-labelledby="kubectl">
        <h2 id="kubectl">Use kubectl</h2>
        <p>Paste this line into a terminal. It sets up kubectl, and signs you in:</p>
        <pre><code>${commandView(command)}</code></pre>
        <p>
          Or download the kubeconfig. It holds no secret, and kubectl signs you in when you use it.
          The command <code>gatehouse</code> must be installed.
        </p>
        <p><a class="button" href="${KUBECONFIG_PATH}" download>Download kubeconfig</a></p>
        ${
          hasCertificates
            ? html`<p>
                For a program that knows only client certificates,
                <a href="${CERTIFICATE_PATH}">get a client certificate</a>.
              </p>`
            : NOTHING
        }
      </section>
      <section aria-labelledby="clusters">
        <h2 id="clusters">Clusters</h2>
        <ul class="clusters">
          ${clusters.map(({ name, url }) => html`<li><strong>${name}</strong> <span class="address">${url}</span></li>`)}
        </ul>
      </section>
      <section aria-labelledby="identity">
        <h2 id="identity">Your identity</h2>
        <p>This is how the Kubernetes API saw you when you signed in.</p>
        <dl>
          <dt>User name</dt>
          <dd class="name">${session.username}</dd>
          ${
            session.uid === ''
              ? NOTHING
              : html`<dt>UID</dt>
                  <dd class="name">${session.uid}</dd>`
          }
          <dt>Issuer</dt>
          <dd class="address">${issuer}</dd>
          <dt>Signed in</dt>
          <dd>${timeView(session.signedInAt)}</dd>
          <dt>Session ends</dt>
          <dd>${timeView(session.expiresAt)}</dd>
          <dt>Groups</dt>
          <dd>${groupsView(session)}</dd>
        </dl>
      </section>
      <form method="post" action="${SIGN_OUT_PATH}"><button type="submit">Sign out</button></form>
      <p class="hint">
        Signing out ends your session here and at the issuer. It does not sign kubectl out: run
        <code>gatehouse logout</code> for that.
      </p>`,
  )
}

/** A line may break between its words, and not in the name of an option. */
export function commandView(command: string): Html[] {
  return command
    .split(/((?<= )--?[a-z-]+)/)
    .map((part) =>
      part.startsWith('-') ? html`<span class="option">${part}</span>` : html`${part}`,
    )
}

function groupsView({ groups, groupCount, hasUnassertedGroups = false }: Session): Html {
  const left = groupCount - groups.length
  const more =
    left === 0
      ? NOTHING
      : html`<p>and ${left} more, which do not fit here: run <code>gatehouse whoami</code></p>`
  const unasserted = hasUnassertedGroups
    ? html`<p>You may be in more groups, which the Kubernetes API does not see.</p>`
    : NOTHING
  if (groupCount === 0)
    return html`<p>none</p>
      ${unasserted}`
  return html`<ul class="groups">
      ${groups.map((group) => html`<li>${group}</li>`)}
    </ul>
    ${more}${unasserted}`
}

/**
 * The page after signing out.
 *
 * @param continueTo where the session at the issuer ends
 */
export function signedOutView({ displayName, issuer }: ViewOptions, continueTo?: string): Html {
  if (continueTo !== undefined) {
    return layout(
      { displayName, title: 'Signing out', continueTo },
      html`<h1>Signing out</h1>
        <p>Your session here has ended. Your session at the issuer is ending too.</p>
        <p><a class="button" href="${continueTo}">Continue at the issuer</a></p>
        <p class="hint"><span class="address">${issuer}</span></p>`,
    )
  }
  return layout(
    { displayName, title: 'Signed out' },
    html`<h1>You are signed out</h1>
      <p><a class="button" href="${PAGES_PATH}">Sign in again</a></p>`,
  )
}

/** @param at milliseconds since the epoch */
export function timeView(at: number): Html {
  const iso = new Date(at).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC</time>`
}
