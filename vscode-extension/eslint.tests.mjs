// The tests in tests/vscode, which run in Node. `npm run lint` calls it from the top of the repository.
import eslint from "@eslint/js";

const globals = Object.fromEntries(["console", "process", "URLSearchParams", "Buffer"].map((name) => [name, "readonly"]));

export default [
  { ignores: ["**/node_modules/"] },
  eslint.configs.recommended,
  { files: ["**/*.js"], languageOptions: { globals } },
];
