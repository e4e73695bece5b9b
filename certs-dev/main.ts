/** `npm run certs`: writes development certificates into a folder. */
import { join } from 'node:path'
import { Command } from 'commander'
import type { CertificateFiles } from './files.ts'
import { writeDevelopmentCertificates } from './generate.ts'

const program = new Command('certs')
  .description('Create new certificates for development; never use them for anything else')
  .argument('[directory]', 'directory to write them to', join(import.meta.dirname, 'generated'))
  .showHelpAfterError()
  .action(async (folder: string) => {
    const made = await writeDevelopmentCertificates(folder)
    const line = (what: string, { certFile, keyFile }: CertificateFiles): void =>
      console.log(`${what.padEnd(28)} ${certFile}  ${keyFile}`)
    line('serving CA', made.ca)
    line('serving certificate', made.serving)
    line('client CA', made.clientCA)
    console.log(`${'client CA revocation list'.padEnd(28)} ${made.clientCRLFile}`)
    line('client certificate "ada"', made.client)
    line('upstream CA', made.upstreamCA)
    line('upstream client certificate', made.upstream)
    console.log(
      `\nAll are valid until ${made.validUntil.toISOString().slice(0, 10)}; the serving certificate is for loopback only.`,
    )
  })

await program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
})
