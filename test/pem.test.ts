import { expect, test } from 'vitest'

import { certificateBlocks, pemBlocks, revocationLists } from '../src/pem.ts'

const block = (label: string, content: string) =>
  `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----`
const certificate = (base64: string) => block('CERTIFICATE', base64)
const list = (base64: string) => block('X509 CRL', base64)
const BUNDLE = `the first\n${certificate('AQ==')}\r\nof it\n${list('AgM=')}\n${certificate('BA==')}`

test('the certificates of a bundle are found among remarks and revocation lists', () => {
  expect(certificateBlocks(BUNDLE)).toEqual([certificate('AQ=='), certificate('BA==')])
  expect(certificateBlocks('no bundle')).toEqual([])
})

test('the revocation lists of a bundle are decoded to DER', () => {
  expect(revocationLists(BUNDLE)).toEqual([Buffer.from([2, 3])])
  expect(revocationLists(certificate('AQ=='))).toEqual([])
})

test('blocks of every label are found, in their order', () => {
  const key = block('RSA PRIVATE KEY', 'Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAQ==')
  expect(pemBlocks(`${key}\n${BUNDLE}`).map(({ label }) => label)).toEqual([
    'RSA PRIVATE KEY',
    'CERTIFICATE',
    'X509 CRL',
    'CERTIFICATE',
  ])
})

test('a certificate whose END line is missing is not dropped without notice', () => {
  const truncated = '-----BEGIN CERTIFICATE-----\nAQ==\n'
  expect(certificateBlocks(truncated + certificate('BA=='))).toEqual([
    truncated + certificate('BA=='),
  ])
})

test('a block ends with the label that it began with', () => {
  expect(pemBlocks('-----BEGIN CERTIFICATE-----\nAQ==\n-----END X509 CRL-----')).toEqual([])
})
