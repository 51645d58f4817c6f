/* Search in a site that was opened from a folder (file:), where browsers start no workers: the worker's script runs in a hidden
   frame instead. Elsewhere this does nothing. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = null;
      this.ready = new Promise((resolve) => {
        const frame = document.createElement("iframe");
        frame.hidden = true;
        document.body.append(frame);
        this.frame = frame;
        const inside = frame.contentWindow;
        /* What the worker's script says goes to us; what it loads is loaded like any script of the page. */
        inside.postMessage = (data) => {
          const event = new MessageEvent("message", { data });
          this.dispatchEvent(event);
          if (this.onmessage) this.onmessage(event);
        };
        inside.importScripts = (...urls) => Promise.all(urls.map((each) => load(inside, new URL(each, url))));
        load(inside, url).then(() => resolve(inside));
      });
    }
    postMessage(data) {
      this.ready.then((inside) => {
        const event = new inside.MessageEvent("message", { data });
        inside.dispatchEvent(event);
        if (inside.onmessage) inside.onmessage(event);
      });
    }
    terminate() {
      this.frame.remove();
    }
  };

  function load(inside, url) {
    return new Promise((resolve, reject) => {
      const script = inside.document.createElement("script");
      script.src = String(url);
      script.onload = resolve;
      script.onerror = reject;
      inside.document.body.append(script);
    });
  }
}
