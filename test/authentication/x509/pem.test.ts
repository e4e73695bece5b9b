import { expect, test } from 'vitest'

import { certificateBlocks, revocationLists } from '../../../src/authentication/x509/pem.ts'

const certificate = (base64: string) =>
  `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----`
const list = (base64: string) => `-----BEGIN X509 CRL-----\n${base64}\n-----END X509 CRL-----`
const BUNDLE = `the first\n${certificate('AQ==')}\r\nof it\n${list('AgM=')}\n${certificate('BA==')}`

test('the certificates of a bundle are found among text and revocation lists', () => {
  expect(certificateBlocks(BUNDLE)).toEqual([certificate('AQ=='), certificate('BA==')])
  expect(certificateBlocks('no bundle')).toEqual([])
})

test('the revocation lists of a bundle are returned as DER', () => {
  expect(revocationLists(BUNDLE)).toEqual([Buffer.from([2, 3])])
  expect(revocationLists(certificate('AQ=='))).toEqual([])
})
