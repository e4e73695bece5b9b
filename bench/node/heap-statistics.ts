/**
 * Loaded into the Node peers before their own code (`--import`): it sends the number of bytes that were
 * allocated on the V8 heap so far to whoever connects to a socket. It costs nothing in between.
 */
import { createServer } from 'node:net'
import { getHeapStatistics } from 'node:v8'

const server = createServer((socket) => {
  socket.on('error', () => socket.destroy())
  socket.end(String(getHeapStatistics().total_allocated_bytes))
})
server.listen(process.env['GATEHOUSE_BENCH_HEAP']).unref()
