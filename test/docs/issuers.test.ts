/** The files of docs/issuers.md for issuers that no test can reach: `gatehouse validate` accepts them. */
import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'

import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { validated } from '../support/validated.ts'

interface IssuerFiles {
  readonly title: string
  readonly jwt: readonly object[]
  readonly methods: readonly { readonly name: string }[]
}

const root = resolve(import.meta.dirname, '../..')
const sections = filesIn(await readFile(resolve(root, 'docs/issuers.md'), 'utf8'))
/** The issuer that the section on GitHub names for people. */
const [people] = jwtOf(parse(await readFile(resolve(root, 'config/authentication.yaml'), 'utf8')))

let api: ApiServer
let site: TestGatehouse

beforeAll(async () => {
  api = await startApiServer()
  site = await startTestGatehouse({ upstream: upstreamOf(api) })
  await site.gatehouse.close(true)
})

afterAll(async () => {
  await site.close()
  await api.close()
})

test('there are files for four issuers', () => {
  expect(sections.map(({ title }) => title)).toEqual([
    'Entra ID',
    'Okta',
    'Google',
    'GitHub Actions',
  ])
})

describe('gatehouse validate has nothing to say about the files for', () => {
  test.for(sections)('$title', async ({ jwt, methods }) => {
    const needsPeople = methods.some(({ name }) => name === 'company')
    expect(await result([...jwt, ...(needsPeople ? [people] : [])], methods)).toEqual(VALID)
  })

  test('all of them together', async () => {
    const jwt = sections.flatMap((section) => section.jwt)
    const methods = sections.flatMap((section) => section.methods)
    expect(await result([...jwt, people], methods)).toEqual(VALID)
  })
})

const VALID = { code: 0, stderr: '' }

async function result(jwt: readonly unknown[], methods: readonly object[]) {
  const [configFile, authentication] = [site.file('changed.yaml'), site.file('issuers.yaml')]
  const configuration = parse(await readFile(site.file('gatehouse.yaml'), 'utf8')) as {
    readonly authentication: { readonly x509: object }
  }
  const { x509 } = configuration.authentication
  await writeFile(
    configFile,
    stringify({
      ...configuration,
      authentication: { x509, configFile: authentication },
      signIn: { methods },
    }),
  )
  await writeFile(
    authentication,
    stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'AuthenticationConfiguration',
      jwt,
    }),
  )
  const { code, stderr } = await validated(configFile)
  return { code, stderr }
}

/** The sections that have both files as blocks of YAML. */
function filesIn(text: string): readonly IssuerFiles[] {
  return text
    .split(/^## /m)
    .map((section) => {
      const [title = ''] = section.split('\n')
      const blocks = [...section.matchAll(/^```yaml\n(.*?)^```$/gms)]
      const documents = blocks.map(([, block = '']) => parse(block) as Record<string, unknown>)
      const signIn = documents.find((document) => 'signIn' in document)?.['signIn']
      const { methods = [] } = (signIn ?? {}) as { methods?: IssuerFiles['methods'] }
      return { title, jwt: documents.flatMap((document) => jwtOf(document)), methods }
    })
    .filter(({ jwt, methods }) => jwt.length > 0 || methods.length > 0)
}

function jwtOf(document: unknown): readonly object[] {
  return (document as { jwt?: object[] }).jwt ?? []
}
