import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { findTool } from '../tools.ts'
import type { Peer } from './peer.ts'

/** nginx as a plain reverse proxy: the cost of a proxy in C. */
export const nginx: Peer = {
  name: 'nginx',
  what: 'nginx, no checks, one worker, 512 idle connections kept',
  protocols: ['h1', 'h2'],
  servesUpgrades: false,
  isCompiledAtRuntime: false,
  prepare: async () =>
    (await findTool('nginx')) === undefined
      ? 'nginx is not installed (Debian: apt-get install nginx-light)'
      : undefined,
  command: async (world, port, directory) => {
    const upstream = new URL(world.upstream.url)
    const file = join(directory, 'nginx.conf')
    // By default, Debian's nginx writes logs and temporary files to folders of root.
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${join(directory, name)};`)
      .join('\n  ')
    await writeFile(
      file,
      `
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${join(directory, 'nginx.pid')};
error_log stderr warn;
events { worker_connections 16384; }
http {
  ${temporary}
  access_log off;
  keepalive_requests 1000000000;
  upstream api {
    server ${upstream.host};
    keepalive 512;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} ssl http2;
    http2_max_concurrent_streams 250;
    ssl_certificate ${world.serving.certFile};
    ssl_certificate_key ${world.serving.keyFile};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {
      proxy_pass https://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host ${upstream.host};
      proxy_buffering off;
      proxy_read_timeout 1h;
      proxy_ssl_certificate ${world.client.certFile};
      proxy_ssl_certificate_key ${world.client.keyFile};
      proxy_ssl_trusted_certificate ${world.ca.certFile};
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_protocols TLSv1.2 TLSv1.3;
    }
  }
}
`,
    )
    return { file: (await findTool('nginx')) ?? 'nginx', args: ['-c', file, '-p', directory] }
  },
}
