import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;

/** What a servlet serves for the cases; native.go says what that is. */
abstract class Handler extends HttpServlet {
    private static final int EVENTS = 3;

    private final Path www;
    private final Map<String, Semaphore> gates = new ConcurrentHashMap<>();

    Handler(String www) {
        this.www = Path.of(www);
    }

    /** Has a trailer sent after the body. */
    abstract void trailer(HttpServletResponse response, String name, String value);

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String path = request.getRequestURI();
        String name = request.getQueryString();
        if (path.equals("/open")) {
            gate(name).release();
            return;
        }
        System.out.println("handled " + request.getMethod() + " " + path + "?" + name);
        if (path.equals("/echo")) {
            byte[] body = request.getInputStream().readAllBytes();
            response.setContentLength(body.length);
            response.getOutputStream().write(body);
        } else if (path.startsWith("/bytes/")) {
            Path file = www.resolve(path.substring(1));
            response.setContentLengthLong(Files.size(file));
            Files.copy(file, response.getOutputStream()); // HEAD is the container's matter
        } else if (path.equals("/trailers")) {
            trailer(response, "X-Check", "done");
            text(response, "hello\n");
        } else if (path.startsWith("/gate/")) {
            byte[] body = Files.readAllBytes(www.resolve("bytes" + path.substring("/gate".length())));
            OutputStream out = response.getOutputStream();
            response.setContentLength(body.length);
            out.write(body, 0, body.length / 2);
            response.flushBuffer();
            gate(name).acquireUninterruptibly();
            out.write(body, body.length / 2, body.length - body.length / 2);
        } else if (path.equals("/events")) {
            response.setContentType("text/event-stream");
            for (int i = 1; i <= EVENTS; i++) {
                text(response, "data: " + i + "\n\n");
                response.flushBuffer();
                gate(name).acquireUninterruptibly();
            }
        } else {
            response.setStatus(404);
        }
    }

    private Semaphore gate(String name) {
        return gates.computeIfAbsent(name, n -> new Semaphore(0));
    }

    private static void text(HttpServletResponse response, String text) throws IOException {
        response.getOutputStream().write(text.getBytes(StandardCharsets.US_ASCII));
    }
}
