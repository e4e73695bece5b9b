/** `authentication.issuedCertificates` of gatehouse.yaml. */
import { isAbsolute } from 'node:path'

import { z } from 'zod'

import { duration } from '../duration.ts'
import { count, flag, inputFile, rate } from '../fields.ts'
import { directory, ISSUING_CA } from './directory.ts'

const signCommand = z
  .strictObject({
    command: z
      .array(z.string().min(1, 'is empty'))
      .min(1, 'is empty')
      .refine(([program = '']) => isAbsolute(program), 'does not begin with /')
      .meta({
        description:
          'the program and its arguments. It is started without a shell, with one more argument that says ' +
          'how to sign: ecdsa-sha256, ecdsa-sha384, ecdsa-sha512, rsa-sha256 or ed25519. Its standard ' +
          'input is the DER of what is to be signed (TBSCertificate). It must print the signature, of ' +
          'ECDSA in DER, as base64; must be a list whose first item begins with /',
        examples: [['/usr/local/bin/sign-with-kms', 'alias/gatehouse']],
      }),
    timeout: duration('how long it may take').default(5_000),
  })
  .describe(
    'In place of privateKeyFile: a program that signs with a key that it does not hand out, as of a KMS.',
  )

export const issuedCertificates = z
  .strictObject({
    caFile: inputFile(
      'the CA that signs, PEM. Certificates behind the first are those of earlier CAs, whose certificates ' +
        'are still accepted. It must be a CA of Gatehouse alone, which the API server does not trust',
      ISSUING_CA,
    ),
    privateKeyFile: inputFile('the private key of the CA', ISSUING_CA).optional(),
    signCommand: signCommand.optional(),
    issuers: z
      .array(z.string().min(1, 'is empty'))
      .default([])
      .meta({
        description:
          'issuers at which a sign-in is enough for a certificate. Their ID tokens must have auth_time; ' +
          'must be a list of urls of issuers in configFile',
        examples: [['https://login.example.com/realms/company']],
      }),
    directories: z
      .array(directory)
      .default([])
      .describe(
        'directories (LDAP, Active Directory) whose users get certificates for their passwords: ' +
          '`gatehouse login --method NAME`; must be a list of directories',
      ),
    maxLifetime: duration('how long a certificate is valid, at most')
      .refine(
        (milliseconds) => milliseconds >= 60_000 && milliseconds <= 86_400_000,
        'is not between 1m and 24h',
      )
      .default(3_600_000),
    maxSignInAge: duration(
      'how long a sign-in is good for certificates. None is issued later than this after the user has ' +
        'signed in, and every certificate ends then',
    )
      .refine(
        (milliseconds) => milliseconds >= 300_000 && milliseconds <= 604_800_000,
        'is not between 5m and 168h',
      )
      .default(28_800_000),
    tolerateUncheckedCA: flag(
      'whether certificates are issued although Gatehouse cannot read which CAs the API server trusts for ' +
        'clients (403, or 404). If the API server trusts caFile, every certificate bypasses Gatehouse',
    ).default(false),
    perUser: z
      .strictObject({
        requestsPerSecond: rate('refill rate, in certificates per second').default(0.05),
        burst: count('certificates at once').default(20),
      })
      .describe(
        'How many certificates one user gets from one replica. The others are refused (429).',
      )
      .prefault({}),
  })
  .describe(
    'Short-lived client certificates that Gatehouse issues after a sign-in, for programs that know no ' +
      'other credential (`gatehouse login URL --certificate`).',
  )
