// Brings the page up, also where the first try fails: a browser on the daemon's own host breaks off what it loads
// when the host's networks change, and they change with each container that starts.

const AGAIN_MS = 1000;

async function start() {
  await import("./main.js");
  if (document.readyState !== "complete") await new Promise((done) => addEventListener("load", done, { once: true }));
  if (!getComputedStyle(document.documentElement).getPropertyValue("--page")) throw new Error("no style sheet");
}

start().catch((error) => {
  console.info(`loading the page again: ${error.message}`);
  setTimeout(() => location.reload(), AGAIN_MS);
});
