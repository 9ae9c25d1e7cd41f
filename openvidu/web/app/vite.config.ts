import { defineConfig } from 'vite';

// The build goes where Go embeds it. openvidu-browser is CommonJS written for
// bundlers that supply Node's `global`.
export default defineConfig({
  base: './',
  define: { global: 'globalThis' },
  build: {
    outDir: '../dist',
    emptyOutDir: false, // .keep stays; `make web` empties the assets folder
    assetsInlineLimit: 0, // the content policy allows no data: scripts or styles
    chunkSizeWarningLimit: 900,
    sourcemap: false,
  },
});
