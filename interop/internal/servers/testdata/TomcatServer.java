import jakarta.servlet.http.HttpServletResponse;
import java.util.Map;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.apache.coyote.http2.Http2Protocol;

/** Arguments: port, directory for it alone, directory of the files. */
public class TomcatServer {
    public static void main(String[] args) throws Exception {
        Connector connector = new Connector();
        connector.setProperty("address", "127.0.0.1");
        connector.setPort(Integer.parseInt(args[0]));
        connector.addUpgradeProtocol(new Http2Protocol());

        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(args[1]);
        tomcat.setConnector(connector);
        Context context = tomcat.addContext("", null);
        Tomcat.addServlet(context, "handler", new Handler(args[2]) {
            @Override
            void trailer(HttpServletResponse response, String name, String value) {
                response.setTrailerFields(() -> Map.of(name, value));
            }
        });
        context.addServletMappingDecoded("/*", "handler");
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                tomcat.stop();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        tomcat.start();
        tomcat.getServer().await();
    }
}
