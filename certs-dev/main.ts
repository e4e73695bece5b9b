/** `npm run certs`: development certificates into a folder. */
import { join } from 'node:path'
import { Command } from 'commander'
import { writeDevelopmentCertificates, type CertificateFiles } from './generate.ts'

const program = new Command('certs')
  .description('Make new development certificates; never use them for anything else')
  .argument('[folder]', 'where to write them', join(import.meta.dirname, 'generated'))
  .showHelpAfterError()
  .action(async (folder: string) => {
    const made = await writeDevelopmentCertificates(folder)
    const line = (what: string, { certFile, keyFile }: CertificateFiles): void =>
      console.log(`${what.padEnd(28)} ${certFile}  ${keyFile}`)
    line('development CA (servers)', made.ca)
    line('serving, for loopback', made.serving)
    line('client CA (users)', made.clientCA)
    console.log(`${'client CA, revocations'.padEnd(28)} ${made.clientCRLFile}`)
    line('client "ada"', made.client)
    line('upstream CA', made.upstreamCA)
    line('upstream client "gatehouse"', made.upstream)
    console.log(
      `\nvalid until ${made.validUntil.toISOString().slice(0, 10)}, servers for loopback only`,
    )
  })

await program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
})
