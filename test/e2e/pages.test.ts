/** The pages in a real Chromium, with the development identity provider. */
import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import axe from 'axe-core'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'

import { certificateRequest } from '../support/certificate-request.ts'
import { skippedWithoutChromium, startChromium, type Chromium } from '../support/chromium.ts'
import { output } from '../support/command.ts'
import { startPagesWorld, type PagesWorld } from '../support/pages-world.ts'

const PHONE = { width: 390, height: 844 }
/** Milliseconds in which a page would long have come, if no question had to be answered first. */
const PROMPT_MS = 5_000

describe.skipIf(skippedWithoutChromium())('the pages in Chromium', () => {
  let world: PagesWorld
  let chromium: Chromium

  beforeAll(async () => {
    const groups = Array.from({ length: 60 }, (_, i) => `a-team-with-a-rather-long-name-${i}`)
    const accounts = [
      { subject: 'g', preferredUsername: 'grace', email: 'grace@example.com', groups: ['dev'] },
      { subject: 'm', preferredUsername: 'many', email: 'many@example.com', groups },
    ]
    world = await startPagesWorld({ accounts, issuing: { maxLifetime: '90m' } })
    const home = world.gatehouse.file('home')
    await installCertificate(home)
    chromium = await startChromium(home)
  })

  afterAll(async () => {
    await chromium.close()
    await world.close()
  })

  /** The user's certificate, and the CA of the pages, in the store that Chromium reads. */
  async function installCertificate(home: string): Promise<void> {
    const store = join(home, '.pki', 'nssdb')
    mkdirSync(store, { recursive: true })
    const { certificatePem, keyPem } = await world.gatehouse.certificate()
    const [certificate, key, bundle, ca] = ['user.crt', 'user.key', 'user.p12', 'ca.crt'].map(
      (name) => join(home, name),
    ) as [string, string, string, string]
    writeFileSync(certificate, certificatePem)
    writeFileSync(key, keyPem)
    writeFileSync(ca, world.gatehouse.ca)
    const run = (program: string, ...args: string[]): Buffer => execFileSync(program, args)
    run(
      'openssl',
      'pkcs12',
      '-export',
      '-in',
      certificate,
      '-inkey',
      key,
      '-out',
      bundle,
      '-passout',
      'pass:x',
    )
    run('certutil', '-d', `sql:${store}`, '-N', '--empty-password')
    run('certutil', '-d', `sql:${store}`, '-A', '-t', 'C,,', '-n', 'pages', '-i', ca)
    run('pk12util', '-d', `sql:${store}`, '-i', bundle, '-W', 'x')
  }

  async function newPage(
    options: Parameters<Chromium['browser']['newContext']>[0] = {},
  ): Promise<Page> {
    // The identity provider has a CA of its own, which is not in the store.
    const context = await chromium.browser.newContext({ ignoreHTTPSErrors: true, ...options })
    onTestFinished(() => context.close())
    return context.newPage()
  }

  async function signIn(page: Page, account = 'grace'): Promise<void> {
    await page.goto(world.pagesURL)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.locator('input[name=login]').fill(account)
    await page.locator('input[name=password]').fill('any')
    await page.locator('button[type=submit]').click()
    await page.locator('button[type=submit]').click()
    await page.getByRole('heading', { name: 'You are' }).waitFor()
  }

  test('no page asks for the certificate of the user, which the API asks for', async () => {
    const page = await newPage()
    await page.goto(world.pagesURL)
    expect(page.url()).toBe(`${world.pagesURL}/gatehouse/`)
    // Without a window, the question that waits for the user is a page that never comes.
    const other = await newPage()
    await expect(other.goto(world.apiURL, { timeout: PROMPT_MS })).rejects.toThrow('Timeout')
  })

  test('a user signs in, sees the identity, and downloads the kubeconfig', async () => {
    const page = await newPage({ acceptDownloads: true })
    const complaints: string[] = []
    page.on('console', (message) => {
      if (page.url().startsWith(world.pagesURL)) complaints.push(message.text())
    })
    await signIn(page)
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('You are oidc:grace')
    expect(await page.getByRole('listitem').allTextContents()).toEqual([
      expect.stringContaining('production'),
      'oidc:dev',
      'system:authenticated',
    ])
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download kubeconfig' }).click(),
    ])
    expect(download.suggestedFilename()).toBe('production.kubeconfig')
    const stream = await download.createReadStream()
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    const { 'current-context': current } = parse(Buffer.concat(chunks).toString()) as Record<
      string,
      string
    >
    expect(current).toBe('production')
    // The content security policy blocks nothing that the pages need.
    expect(complaints).toEqual([])
  })

  test('the line to paste is one line', async () => {
    const page = await newPage({ viewport: PHONE })
    await signIn(page)
    const line = await page.locator('pre').innerText()
    expect(line).toMatch(/^gatehouse login https:\/\/localhost:\d+ --ca-fingerprint [0-9A-F:]{95}$/)
  })

  /** Takes the way of a user through the page, with the line that it shows. Ends at the certificate. */
  async function getCertificate(page: Page): Promise<string> {
    await page.getByRole('link', { name: 'get a client certificate' }).click()
    const [program = '', ...args] = (
      await page.locator('pre', { hasText: 'openssl' }).innerText()
    ).split(' ')
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-pages-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    execFileSync(program, args, { cwd: directory, stdio: 'ignore' })
    await page.getByLabel('The file').setInputFiles(join(directory, 'gatehouse.csr'))
    await page.getByRole('button', { name: 'Get the certificate' }).click()
    // The issuer knows the user, and sends the browser back by itself.
    await page.getByRole('heading', { name: 'Your certificate' }).waitFor()
    return directory
  }

  async function download(page: Page, link: string, directory: string): Promise<string> {
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: link }).click(),
    ])
    const path = join(directory, file.suggestedFilename())
    await file.saveAs(path)
    return path
  }

  test('a user gets a client certificate for a key of the own machine, and downloads it', async () => {
    const page = await newPage({ acceptDownloads: true })
    const complaints: string[] = []
    page.on('console', (message) => {
      if (page.url().startsWith(world.pagesURL)) complaints.push(message.text())
    })
    await signIn(page)
    const directory = await getCertificate(page)
    const file = await download(page, 'Download gatehouse.crt', directory)
    expect(file).toBe(join(directory, 'gatehouse.crt'))
    const certificate = new X509Certificate(readFileSync(file))
    expect(certificate.subject).toContain('CN=oidc:grace')
    const key = createPrivateKey(readFileSync(join(directory, 'gatehouse.key')))
    expect(certificate.checkPrivateKey(key)).toBe(true)
    await page.getByText('Show it as text').click()
    expect(await page.locator('pre').first().innerText()).toBe(readFileSync(file, 'utf8'))
    expect(complaints).toEqual([])

    await page.getByRole('link', { name: 'Back' }).click()
    await page.getByRole('link', { name: 'get a client certificate' }).click()
    await page.getByLabel('or its content').fill('something else')
    await page.getByRole('button', { name: 'Get the certificate' }).click()
    expect(await page.locator('.problem').textContent()).toContain('is not one PEM block')
  })

  test.skipIf(!inject('hasParts'))('kubectl uses the kubeconfig beside the key', async () => {
    const page = await newPage({ acceptDownloads: true })
    await signIn(page)
    const cwd = await getCertificate(page)
    await download(page, 'Download kubeconfig', cwd)
    const line = await page.locator('pre', { hasText: '--kubeconfig' }).innerText()
    const [, ...args] = line.replace('get pods', 'get --raw /gatehouse/api/whoami').split(' ')
    const kubectl = inject('sharedControlPlane')?.kubectl ?? ''
    const whoami = await output(kubectl, args, { cwd, env: { HOME: cwd } })
    expect(JSON.parse(whoami)).toMatchObject({
      ...{ method: 'issued-certificate', userInfo: { username: 'oidc:grace' } },
    })
  })

  test('cookies are not readable by scripts, and a session is not kept for another browser', async () => {
    const page = await newPage()
    await signIn(page)
    expect(await page.evaluate('document.cookie')).toBe('')
    const cookies = await page.context().cookies(world.pagesURL)
    expect(cookies).toMatchObject([
      { name: '__Host-gatehouse-session', httpOnly: true, secure: true, sameSite: 'Lax' },
    ])
    const other = await newPage()
    await other.goto(world.pagesURL)
    expect(await other.getByRole('link', { name: 'Sign in' }).count()).toBe(1)
  })

  test('signing out ends the session of the page, and that of the issuer', async () => {
    const page = await newPage()
    await signIn(page)
    const cookies = await page.context().cookies(world.pagesURL)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('button', { name: 'Yes, sign me out' }).click()
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor()
    expect(page.url()).toBe(`${world.pagesURL}/gatehouse/signed-out`)
    // A copy of the cookie is not accepted either.
    await page.context().addCookies(cookies)
    await page.goto(world.pagesURL)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.locator('input[name=password]').waitFor()
  })

  test('a session that the issuer ends is gone from the page', async () => {
    const page = await newPage()
    await signIn(page)
    const issuer = await page.context().newPage()
    await issuer.goto(`${world.provider.issuer}/session/end`)
    await issuer.getByRole('button', { name: 'Yes, sign me out' }).click()
    await expect
      .poll(async () => {
        await page.reload()
        return page.getByRole('link', { name: 'Sign in' }).count()
      })
      .toBe(1)
  })

  test('no other site can sign a user out, or show the pages in a frame', async () => {
    const page = await newPage()
    await signIn(page)
    const evil = await page.context().newPage()
    const form = `<form method="post" action="${world.pagesURL}/gatehouse/sign-out"></form>`
    await evil.route('https://evil.example/', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `${form}<iframe src="${world.pagesURL}/gatehouse/"></iframe>`,
      }),
    )
    await evil.goto('https://evil.example/')
    expect(evil.frames().map((frame) => frame.url())).not.toContain(`${world.pagesURL}/gatehouse/`)
    await Promise.all([evil.waitForURL(/sign-out/), evil.evaluate('document.forms[0].submit()')])
    expect(await evil.textContent('h1')).toBe('Not allowed')
    await page.reload()
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('You are oidc:grace')
  })

  describe.each(['light', 'dark'] as const)('in %s colors', (colorScheme) => {
    test.for([
      ['a phone', PHONE],
      ['a wide window', { width: 1_280, height: 900 }],
    ] as const)('axe finds nothing, and nothing is cut off, on %s', async ([name, viewport]) => {
      const page = await newPage({ viewport, colorScheme })
      const check = async (what: string): Promise<void> => {
        await expectAccessible(page, what)
        const directory = process.env['SCREENSHOTS']
        if (directory === undefined) return
        const path = join(directory, `${what} ${colorScheme} ${name}.png`.replaceAll(' ', '-'))
        await page.screenshot({ path, fullPage: true })
      }
      await page.goto(world.pagesURL)
      await check('sign in')
      await page.goto(`${world.pagesURL}/gatehouse/callback?code=x`)
      await check('problem')
      await signIn(page, 'many')
      await check('account')
      await page.goto(`${world.pagesURL}/gatehouse/certificate`)
      await check('certificate')
      await page.getByLabel('or its content').fill(certificateRequest())
      await page.getByRole('button', { name: 'Get the certificate' }).click()
      await page.getByRole('heading', { name: 'Your certificate' }).waitFor()
      await check('issued')
      await page.getByText('Show it as text').click()
      await check('issued text')
      await page.goto(`${world.pagesURL}/gatehouse/signed-out`)
      await check('signed out')
    })
  })
})

/** No finding of axe-core, and no scrolling sideways. */
async function expectAccessible(page: Page, what: string): Promise<void> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<axe.AxeResults>('axe.run()')
  const findings = violations.map(
    ({ id, impact, nodes }) => `${what}: ${id} ${impact} ${nodes[0]?.html}`,
  )
  expect(findings).toEqual([])
  const hidden = await page.evaluate(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  )
  expect(hidden).toBe(0)
}
