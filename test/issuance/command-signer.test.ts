import { createPrivateKey, verify, X509Certificate } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { loadIssuingAuthority, type IssuingAuthority } from '../../src/issuance/authority.ts'
import { createCommandSigner } from '../../src/issuance/command-signer.ts'

const TBS = Buffer.from('to be signed')
let directory: string
let authority: IssuingAuthority
let keyFile: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gatehouse-signer-'))
  const { certificatePem, keyPem } = await createAuthority({ commonName: 'issuing' })
  const caFile = join(directory, 'ca.crt')
  keyFile = join(directory, 'ca.key')
  await Promise.all([writeFile(caFile, certificatePem), writeFile(keyFile, keyPem)])
  authority = loadIssuingAuthority({ caFile, privateKeyFile: undefined })
})
afterAll(() => rm(directory, { recursive: true }))

let scripts = 0

async function signer(
  script: string,
  options: { timeout?: number; args?: readonly string[] } = {},
) {
  const program = join(directory, `sign-${++scripts}`)
  await writeFile(program, `#!/bin/sh\n${script}\n`)
  await chmod(program, 0o755)
  const problems: string[] = []
  const sign = createCommandSigner(
    { command: [program, ...(options.args ?? [])], timeout: options.timeout ?? 20_000 },
    { onFailure: (problem) => problems.push(problem) },
  )
  return { sign, problems }
}

test('the command signs what is on its standard input, as its last argument says', async () => {
  const seen = join(directory, 'arguments')
  const { sign } = await signer(`echo "$@" > ${seen}; openssl dgst -sha256 -sign "$1" | base64`, {
    args: [keyFile],
  })
  const signature = await sign(authority, TBS)
  const { publicKey } = new X509Certificate(authority.bundle)
  expect(verify('sha256', TBS, publicKey, signature)).toBe(true)
  expect(await readFile(seen, 'utf8')).toBe(`${keyFile} ecdsa-sha256\n`)
  expect(createPrivateKey(await readFile(keyFile)).asymmetricKeyType).toBe('ec')
})

test('an argument is not seen by a shell', async () => {
  const { sign } = await signer('printf "%s" "$1" | base64', { args: ['$(id); `id` & | > x'] })
  expect(Buffer.from(await sign(authority, TBS)).toString()).toBe('$(id); `id` & | > x')
})

describe('without a signature there is no certificate:', () => {
  test.for([
    ['fails', 'echo no such key >&2; exit 3', /exited with 3: no such key/],
    ['prints something else', 'echo "{}"', /did not print base64/],
    ['prints nothing', 'exit 0', /did not print base64/],
    ['prints without an end', 'yes AAAA', /printed more than 4096 bytes/],
    ['ends itself', 'kill -9 $$', /was ended by SIGKILL/],
  ] as const)('the command %s', async ([, script, problem]) => {
    const { sign, problems } = await signer(script)
    await expect(sign(authority, TBS)).rejects.toMatchObject({ code: 503 })
    expect(problems).toEqual([expect.stringMatching(problem)])
  })

  test('the command takes too long, and what it has started holds its pipes', async () => {
    const { sign, problems } = await signer('sleep 60 & wait', { timeout: 50 })
    await expect(sign(authority, TBS)).rejects.toMatchObject({ code: 503 })
    expect(problems).toEqual([expect.stringMatching(/took longer than 50 ms/)])
  })

  test('the command does not exist', async () => {
    const problems: string[] = []
    const sign = createCommandSigner(
      { command: [join(directory, 'nothing')], timeout: 1_000 },
      { onFailure: (problem) => problems.push(problem) },
    )
    await expect(sign(authority, TBS)).rejects.toMatchObject({ code: 503 })
    expect(problems).toEqual([expect.stringMatching(/could not be started: .*ENOENT/)])
  })
})

test('a flood of requests starts a limited number of commands, and each waits its turn', async () => {
  const { sign } = await signer('sleep 0.2; echo AAAA')
  const results = await Promise.allSettled(Array.from({ length: 80 }, () => sign(authority, TBS)))
  const signed = results.filter(({ status }) => status === 'fulfilled')
  expect(signed).toHaveLength(68)
})
