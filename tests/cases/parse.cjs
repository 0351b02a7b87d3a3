// What Serverless Devs' own parser makes of a file in each folder that is named, as JSON on stdout.
// The package is looked for from the working directory; a path that begins with the folder begins with HERE instead.
const path = require("path");
const { createRequire } = require("module");
const ParseSpec = createRequire(path.join(process.cwd(), "x.js"))("@serverless-devs/parse-spec").default;

const before = { ...process.env };
const logger = new Proxy({}, { get: () => () => {} });

async function parsed(folder) {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  process.chdir(folder);
  const { steps } = await new ParseSpec(path.join(folder, "s.yaml"), { argv: ["deploy"], logger }).start();
  const told = steps.map(({ projectName, component, props }) => ({ projectName, component, props }));
  return JSON.parse(JSON.stringify(told).split(folder).join("HERE"));
}

(async () => {
  const found = {};
  for (const folder of process.argv.slice(2)) {
    try {
      found[path.basename(folder)] = await parsed(folder);
    } catch (error) {
      found[path.basename(folder)] = { error: error.message.split(folder).join("HERE") };
    }
  }
  process.stdout.write(JSON.stringify(found, null, 1));
})();
