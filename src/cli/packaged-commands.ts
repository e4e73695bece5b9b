/** The commands of the server in the package, where they take the place of `server-commands.ts`. */
import { loadServerScript } from './server-script.ts'

export const { limitHeapGrowth, runServe, runValidate } = loadServerScript(
  import.meta.dirname,
).commands
