/**
 * An image as one file: an OCI layout (image-spec 1.1, image-layout.md) that also has Docker's manifest.json, so that ctr, podman,
 * skopeo and docker load it. Equal folders make equal bytes: files in the order of their names, no times, no owners.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

const TAR = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--format=gnu'];
const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' };

/**
 * @param image name:tag; folders: the layers, lowest first; entrypoint: argv; labels: of the image; version: Tortie's
 * @param compress smaller, and slower
 */
export async function writeArchive(output, { image, folders, entrypoint, labels }, work, { compress = true } = {}) {
  const layout = join(work, 'layout');
  const blobs = join(layout, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const layers = [];
  for (const folder of folders) layers.push(await layerBlob(folder, blobs, work, compress));
  const config = jsonBlob(blobs, {
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: 'linux',
    config: {
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Entrypoint: entrypoint,
      Labels: labels,
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'npm run image' })),
  });
  const manifest = jsonBlob(blobs, {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: layers.map(({ diffId, ...descriptor }) => ({
      mediaType: `application/vnd.oci.image.layer.v1.tar${compress ? '+gzip' : ''}`,
      ...descriptor,
    })),
  });
  writeJson(join(layout, 'oci-layout'), { imageLayoutVersion: '1.0.0' });
  writeJson(join(layout, 'index.json'), {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        ...manifest,
        annotations: {
          'io.containerd.image.name': image,
          'org.opencontainers.image.ref.name': image.replace(/.*:/, ''),
        },
      },
    ],
  });
  const file = ({ digest }) => `blobs/sha256/${digest.slice('sha256:'.length)}`;
  writeJson(join(layout, 'manifest.json'), [{ Config: file(config), RepoTags: [image], Layers: layers.map(file) }]);
  const draft = `${output}.${process.pid}`;
  try {
    execFileSync('tar', ['-C', layout, ...TAR, '-cf', draft, '.']);
    renameSync(draft, output);
  } finally {
    rmSync(draft, { force: true });
  }
  return manifest.digest;
}

async function layerBlob(folder, blobs, work, compress) {
  const tar = join(work, 'layer.tar');
  execFileSync('tar', ['-C', folder, ...TAR, '-cf', tar, '.']);
  const diffId = `sha256:${await digestOf(tar)}`;
  let file = tar;
  if (compress) {
    file = `${tar}.gz`;
    await pipeline(createReadStream(tar), createGzip({ level: 6 }), createWriteStream(file));
    rmSync(tar);
  }
  const { size } = statSync(file);
  const digest = await digestOf(file);
  renameSync(file, join(blobs, digest));
  return { digest: `sha256:${digest}`, size, diffId };
}

async function digestOf(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

function jsonBlob(blobs, value) {
  const text = JSON.stringify(value);
  const digest = createHash('sha256').update(text).digest('hex');
  writeFileSync(join(blobs, digest), text);
  return { digest: `sha256:${digest}`, size: Buffer.byteLength(text) };
}

const writeJson = (file, value) => writeFileSync(file, JSON.stringify(value));
