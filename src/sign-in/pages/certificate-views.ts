/** The content of the pages about client certificates. */
import type { IssuedCertificate } from '../../issuance/certificate-issuer.ts'
import { html, LINE_END, type Html } from './html.ts'
import { certificateKubeconfig, type KubeconfigCluster } from './kubeconfig-file.ts'
import { layout } from './layout.ts'
import { CERTIFICATE_PATH, PAGES_PATH } from './paths.ts'
import type { Session } from './session.ts'
import { FILE_FIELD, TEXT_FIELD } from './upload.ts'
import { commandView, timeView, type ViewOptions } from './views.ts'

const KEY_FILE = 'gatehouse.key'
const REQUEST_FILE = 'gatehouse.csr'
const CERTIFICATE_FILE = 'gatehouse.crt'
/** The names in the request mean nothing, but openssl wants some. */
const MAKE_REQUEST = `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=gatehouse -keyout ${KEY_FILE} -out ${REQUEST_FILE}`

export interface CertificateViewOptions extends Pick<ViewOptions, 'displayName'> {
  readonly session: Session
  /** Milliseconds. */
  readonly maxLifetime: number
  /** What the user types instead, where the command line is installed. */
  readonly command: string
}

/** The form for a request for a certificate. */
export function certificateView({
  displayName,
  session,
  maxLifetime,
  command,
}: CertificateViewOptions): Html {
  return layout(
    { displayName, title: 'Client certificate' },
    html`<h1>A client certificate</h1>
      <p>
        For programs that know no other credential. The certificate names you as
        <span class="name">${session.username}</span>, and lasts at most ${durationOf(maxLifetime)}.
        If the command <code>gatehouse</code> is installed, paste this line instead. It also renews
        the certificate:
      </p>
      <pre><code>${commandView(command)}</code></pre>
      <section aria-labelledby="make">
        <h2 id="make">1. Make a key and a request</h2>
        <p>Paste this line into a terminal. The key stays on your machine:</p>
        <pre><code>${commandView(MAKE_REQUEST)}</code></pre>
      </section>
      <section aria-labelledby="send">
        <h2 id="send">2. Send the request</h2>
        <form method="post" action="${CERTIFICATE_PATH}" enctype="multipart/form-data">
          <label for="file">The file ${REQUEST_FILE}</label>
          <input type="file" id="file" name="${FILE_FIELD}" />
          <label for="request">or its content</label>
          <textarea
            id="request"
            name="${TEXT_FIELD}"
            rows="6"
            spellcheck="false"
            autocomplete="off"
            placeholder="-----BEGIN CERTIFICATE REQUEST-----"
          ></textarea>
          <button class="button" type="submit">Get the certificate</button>
        </form>
        <p class="hint">If you signed in some time ago, the issuer asks you to sign in again.</p>
      </section>
      <p><a href="${PAGES_PATH}">Back to the start page</a></p>`,
  )
}

/** The page that leads to the issuer for another sign-in. */
export function continueView({ displayName, issuer }: ViewOptions, continueTo: string): Html {
  return layout(
    { displayName, title: 'One moment', continueTo },
    html`<h1>One moment</h1>
      <p>The issuer confirms who you are.</p>
      <p><a class="button" href="${continueTo}">Continue at the issuer</a></p>
      <p class="hint"><span class="address">${issuer}</span></p>`,
  )
}

export interface IssuedViewOptions extends Pick<ViewOptions, 'displayName'> {
  readonly username: string
  readonly issued: IssuedCertificate
  readonly cluster: KubeconfigCluster
}

/** The page with a certificate that was issued. */
export function issuedView({ displayName, username, issued, cluster }: IssuedViewOptions): Html {
  const user = `${cluster.name}-certificate`
  const kubeconfigFile = `${user}.kubeconfig`
  const kubeconfig = certificateKubeconfig(cluster, user, issued.pem, KEY_FILE)
  const files = `--client-certificate=${CERTIFICATE_FILE} --client-key=${KEY_FILE}`
  return layout(
    { displayName, title: 'Your certificate' },
    html`<h1>Your certificate</h1>
      <dl>
        <dt>User name</dt>
        <dd class="name">${username}</dd>
        <dt>Expires</dt>
        <dd>${timeView(issued.notAfter)}</dd>
        <dt>Serial number</dt>
        <dd class="address">${issued.serial}</dd>
      </dl>
      <section aria-labelledby="keep">
        <h2 id="keep">1. Save it beside its key</h2>
        <p>
          <a
            class="button"
            href="${linkTo('application/x-pem-file', issued.pem)}"
            download="${CERTIFICATE_FILE}"
            >Download ${CERTIFICATE_FILE}</a
          >
        </p>
        <p class="hint">Gatehouse keeps no copy, so this page cannot be shown again.</p>
        <details>
          <summary>Show it as text</summary>
          <pre><code>${linesView(issued.pem)}</code></pre>
        </details>
      </section>
      <section aria-labelledby="use">
        <h2 id="use">2. Use it with kubectl</h2>
        <p>
          <a
            class="button"
            href="${linkTo('application/yaml', kubeconfig)}"
            download="${kubeconfigFile}"
            >Download kubeconfig</a
          >
        </p>
        <p>
          It contains the certificate, and reads the key from ${KEY_FILE} beside it. Save it in the
          directory of the key, and run there:
        </p>
        <pre><code>${commandView(`kubectl --kubeconfig ${kubeconfigFile} get pods`)}</code></pre>
        <p>Or add the two files to the kubeconfig that you have, in their directory:</p>
        <pre><code>${commandView(`kubectl config set-credentials ${user} ${files}`)}</code></pre>
        <pre><code>${commandView(`kubectl config set-context ${user} --cluster=${cluster.name} --user=${user}`)}</code></pre>
        <p>
          Then run <code>kubectl --context ${user} get pods</code>. The cluster
          <code>${cluster.name}</code> is in the kubeconfig that <code>gatehouse login</code> has
          written.
        </p>
      </section>
      <p><a href="${PAGES_PATH}">Back to the start page</a></p>`,
  )
}

/** A link to the text itself, so that no request has to find the certificate again. */
function linkTo(type: string, text: string): string {
  return `data:${type};base64,${Buffer.from(text).toString('base64')}`
}

function linesView(text: string): Html[] {
  return text
    .trimEnd()
    .split('\n')
    .flatMap((line) => [html`${line}`, LINE_END])
}

function durationOf(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000)
  const [amount, unit] = minutes % 60 === 0 ? [minutes / 60, 'hour'] : [minutes, 'minute']
  return amount === 1 ? `1 ${unit}` : `${amount} ${unit}s`
}
