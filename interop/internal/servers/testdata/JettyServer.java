import java.util.function.Supplier;
import javax.servlet.http.HttpServletResponse;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.http2.server.HTTP2CServerConnectionFactory;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;

/** Arguments: port, directory of the files. */
public class JettyServer {
    public static void main(String[] args) throws Exception {
        HttpConfiguration conf = new HttpConfiguration();
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server,
                new HttpConnectionFactory(conf), new HTTP2CServerConnectionFactory(conf));
        connector.setHost("127.0.0.1");
        connector.setPort(Integer.parseInt(args[0]));
        server.addConnector(connector);

        ServletContextHandler context = new ServletContextHandler();
        context.addServlet(new ServletHolder(new Handler(args[1]) {
            @Override
            void trailer(HttpServletResponse response, String name, String value) {
                HttpFields fields = new HttpFields();
                fields.add(name, value);
                Supplier<HttpFields> trailers = () -> fields;
                ((Response) response).setTrailers(trailers);
            }
        }), "/*");
        server.setHandler(context);
        server.setStopAtShutdown(true);
        server.start();
        server.join();
    }
}
