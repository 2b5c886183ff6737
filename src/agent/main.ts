/** The process of `tortie agent`: options, kernel features, signals, and the CNI server around an Agent. */
import { copyFile, mkdir, readFile, rename } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
