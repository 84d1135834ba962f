// Starts vane-sim, then runs the official clients' tests against it.
//   node run.mjs PATH-OF-VANE-SIM [test files...]
// Exit 77: skipped, because the clients' packages are not installed and the registry cannot be reached.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [program, ...files] = process.argv.slice(2);
const probe = join(dirname(program), 'vane-sink-probe'); // of a test build

if (!existsSync(join(here, 'node_modules', '.package-lock.json'))) {
  const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--fetch-retries=1', '--fetch-timeout=60000'];
  const npm = spawnSync('npm', ['ci', ...options], { cwd: here, stdio: 'inherit' });
  if (npm.status !== 0) {
    console.log('skipped: the official clients cannot be installed (npm ci failed)');
    process.exit(77);
  }
}

const state = mkdtempSync(join(tmpdir(), 'vane-sdk-'));
const sim = spawn(program, ['--state', state, '--seed', '11'], { stdio: 'inherit' });
let code = 1;
try {
  for (let i = 0; i < 300 && !existsSync(join(state, 'sim.json')) && sim.exitCode === null; i++)
    await new Promise((wake) => setTimeout(wake, 100));
  // real.test.mjs needs a function that runs: real/run.py starts both.
  const own = (name) => name.endsWith('.test.mjs') && name !== 'real.test.mjs';
  const wanted = files.length ? files : readdirSync(here).filter(own);
  const test = spawnSync(process.execPath, ['--test', ...wanted.map((f) => join(here, f))], {
    stdio: 'inherit',
    timeout: 540000,
    env: { ...process.env, NODE_EXTRA_CA_CERTS: join(state, 'ca.pem'), VANE_SIM_READY: join(state, 'sim.json'),
      ...(existsSync(probe) && { VANE_SINK_PROBE: probe }) },
  });
  code = test.status ?? 1;
} finally {
  sim.kill('SIGTERM');
  await new Promise((done) => (sim.exitCode !== null ? done() : sim.once('exit', done)));
  if (sim.exitCode !== 0) {
    console.log(`vane-sim ended with ${sim.exitCode ?? sim.signalCode}`);
    code = code || 1;
  }
  rmSync(state, { recursive: true, force: true });
}
process.exit(code);
